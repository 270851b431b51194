"""What `cyclemix check` is made of: reading, judging, telling and showing a data set's cases."""
