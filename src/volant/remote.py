"""Looking at runs, their actions and their tasks from any program: while they run, and long after."""

from volant.api.actions import Action
from volant.api.runs import Run
from volant.api.tasks import Task
from volant.model.phases import ActionPhase

__all__ = ["Action", "ActionPhase", "Run", "Task"]
