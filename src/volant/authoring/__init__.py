"""What users write: TaskEnvironment, @env.task and the value classes."""
