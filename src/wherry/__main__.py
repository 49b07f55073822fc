"""``python -m wherry``: the same as the command ``wherry``."""

from wherry.cli import main

if __name__ == "__main__":
    main()
