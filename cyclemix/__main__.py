"""``python -m cyclemix``: what the workflow's rules call."""

from cyclemix.cli.main import main

if __name__ == "__main__":
    main()
