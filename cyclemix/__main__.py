"""``python -m cyclemix``: what the workflow's rules call."""

from cyclemix.cli import main

if __name__ == "__main__":
    main()
