"""What is killed: one conversion, run as a program of its own by test_conversion_crash.py.

    python convert_victim.py SOURCE TARGET FORMAT

Prints "ready" when it is about to begin.
"""

import sys
from pathlib import Path
from typing import cast

from segany.formats import Options, Target, convert, open_dataset, plan_conversion

if __name__ == "__main__":
    source, target, to = sys.argv[1:]
    options = Options(cast("Target", to))
    dataset = open_dataset(source, strict=True)
    plan = plan_conversion(dataset, options)
    print("ready", flush=True)
    convert(dataset, Path(target), plan)
    print("done", flush=True)
