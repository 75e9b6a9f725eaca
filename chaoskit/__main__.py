"""`python -m chaoskit`, the same as `chaoskit`."""

from chaoskit.cli import main

if __name__ == "__main__":
    main()
