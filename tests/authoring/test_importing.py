"""What users import to define tasks stays light."""

import subprocess
import sys

HEAVY = ("asyncio", "cloudpickle", "cronsim", "numpy", "pandas", "pydantic", "rich", "psutil")
PROGRAM = f"""
import sys
from volant.authoring.environment import TaskEnvironment
from volant.authoring.resources import Resources
env = TaskEnvironment("env", resources=Resources(cpu=1))
@env.task
async def job(n: int) -> int: return n
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_defining_tasks_imports_no_heavy_library() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
