"""What people say of verdicts: records, where they are kept, how they are delivered."""
