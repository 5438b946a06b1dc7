"""Data validation before training: checks, the policy that makes issues errors, a person's decisions."""
