"""SageMaker's words for what jobs do, in the words of `platform.State`."""

STATES = {
    "Starting": "waiting", "Pending": "waiting", "InProgress": "running", "Stopping": "running", "Deleting": "running",
    "Completed": "succeeded", "Failed": "failed", "Stopped": "stopped", "DeleteFailed": "failed",
}  # fmt: skip
