# Owned by the template: copy it to a file of your own before you change it.
"""This project's training with the SageMaker Python SDK, recorded instead of sent: `python sdk_example.py`."""

from pathlib import Path

from onstage.errors import run_script
from onstage.project import Project, path_for_people
from onstage.sagemaker.client.recorder import ACCOUNT, record
from onstage.sagemaker.requests.bodies import metric_definitions, training_image
from onstage.settings import load

ROOT = Path(__file__).resolve().parent


def record_training() -> None:
    """Record what `ModelTrainer.train` would send for `src/` and the data that settings.toml names."""
    settings = load(Project(ROOT))
    sagemaker = settings.sagemaker
    with record(ROOT / "recorded", sagemaker.region) as recorder:
        # The SDK makes sessions as soon as it is imported, which is late enough here.
        from sagemaker.core.helper.session_helper import Session
        from sagemaker.core.shapes import MetricDefinition
        from sagemaker.train import ModelTrainer
        from sagemaker.train.configs import Compute, InputData, SourceCode

        trainer = ModelTrainer(
            # To send it, leave out `record` and this session: the SDK then takes your own.
            sagemaker_session=Session(boto_session=recorder.session),
            role=sagemaker.role or f"arn:aws:iam::{ACCOUNT}:role/rehearsal",
            training_image=training_image(sagemaker),
            source_code=SourceCode(source_dir=str(ROOT / "src"), entry_script="sagemaker_entry.py"),
            compute=Compute(instance_type=sagemaker.instance_type, instance_count=1),
            base_job_name=settings.name.replace("_", "-"),
            hyperparameters=settings.rehearsal.hyperparameters,
        )
        # Of the epoch line that every training prints.
        metrics = metric_definitions(("loss", "val_loss"))
        trainer.with_metric_definitions([MetricDefinition(name=one["Name"], regex=one["Regex"]) for one in metrics])
        # A folder of this machine is uploaded; an s3:// URI would be taken as it is.
        inputs = [InputData(channel_name=name, data_source=str(ROOT / data)) for name, data in settings.data]
        trainer.train(inputs, wait=False)
    print(f"recorded; now type: onstage body {path_for_people(recorder.files[-1])}")


if __name__ == "__main__":
    run_script(record_training)
