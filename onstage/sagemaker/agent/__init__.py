"""SageMaker on this machine: `agent` executes training jobs as the service does."""
