"""What `cyclemix init` is made of: finding files, reading label values, writing texts."""
