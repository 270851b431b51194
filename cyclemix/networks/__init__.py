"""Networks: each file with a `build` function is one."""
