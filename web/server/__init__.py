"""What stands between the page and the network: requests, queue, uploads, metrics."""
