"""What a number came from: digests, records, verification."""
