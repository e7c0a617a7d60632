"""`python -m cli` is `nielsgpt`: for launchers that start a module, as torchrun does."""

from cli.main import main

if __name__ == "__main__":
    main()
