"""Run the command as `python -m governor`."""

from governor.cli import main

if __name__ == "__main__":
    main()
