"""What is asked of google-cloud-aiplatform, in an interpreter that has it."""

# Calls the SDK as its users do, with the words of a job's settings and nothing of our bodies.
SDK = r"""
import json, sys, time
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform

# It looks after a job every five seconds.
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.05))
from google.cloud.aiplatform import hyperparameter_tuning as search

url, said = sys.argv[1], json.load(sys.stdin)
key, labels = said.get("kms_key"), said.get("labels")
aiplatform.init(
    project=said["project"], location=said["region"], staging_bucket=f"gs://{said['bucket']}",
    credentials=AnonymousCredentials(), api_endpoint=url, api_transport="rest", encryption_spec_key_name=key,
)
account = {"service_account": said["service_account"]} if "service_account" in said else {}
network = {"network": said["network"]} if "network" in said else {}
machine = {"machine_type": said["machine_type"]}
if "accelerator_type" in said:
    machine.update(accelerator_type=said["accelerator_type"], accelerator_count=said["accelerator_count"])
base = f"gs://{said['bucket']}/iris"
source = f"/gcs/{said['bucket']}/iris/jobs/job-1/source/trainer.tar.gz"
flags = [f"--train-data={base}/data/train", f"--eval-data={base}/data/eval", "--epochs=2", "--rate=0.5"]
if said.get("serving") == "prebuilt":
    flags.insert(2, "--model-layout=flat")
task = {"container_spec": {
    "image_uri": "docker.io/tensorflow/tensorflow:2.21.0" + ("-gpu" if "accelerator_type" in said else ""),
    "command": ["bash", "-c"],
    "args": ['pip install %s && exec python -m trainer.task "$@"' % source, "trainer", *flags],
} }
if said.get("package") == "executor":
    task = {"python_package_spec": {
        "executor_image_uri": said["training_image"],
        "package_uris": [f"{base}/jobs/job-1/source/trainer.tar.gz"],
        "python_module": "trainer.task",
        "args": flags,
    } }
pools = [{
    "machine_spec": machine, "replica_count": replicas, **task,
    "disk_spec": {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": said.get("boot_disk_gb", 100)},
} for replicas in (1, said.get("replica_count", 1) - 1) if replicas]

def job():
    return aiplatform.CustomJob(
        display_name="job-1", worker_pool_specs=pools, base_output_dir=f"{base}/jobs/job-1", labels=labels
    )

job().submit(timeout=said["timeout"], **account, **network)
tuning = aiplatform.HyperparameterTuningJob(
    display_name="job-1",
    custom_job=job(),
    metric_spec={"val_loss": "minimize"},
    parameter_spec={
        "learning_rate": search.DoubleParameterSpec(min=1e-4, max=1, scale="log"),
        "units": search.IntegerParameterSpec(
            min=4, max=64, scale="linear",
            conditional_parameter_spec={
                "depth": search.DiscreteParameterSpec(values=[8, 16, 24], scale="log", parent_values=[4, 5])
            },
        ),
        "batch_size": search.DiscreteParameterSpec(
            values=[8, 16, 32], scale=None,
            conditional_parameter_spec={
                "shuffled": search.CategoricalParameterSpec(values=["false", "true"], parent_values=[8, 16])
            },
        ),
        "activation": search.CategoricalParameterSpec(
            values=["relu", "it's"],
            conditional_parameter_spec={
                "slope": search.DoubleParameterSpec(min=0.5, max=0.9, scale="reverse_log", parent_values=["relu"])
            },
        ),
    },
    max_trial_count=6,
    parallel_trial_count=3,
    search_algorithm="random",
    labels=labels,
)
tuning.run(sync=True, timeout=said["timeout"], **account, **network)
repository = f"{said['region']}-docker.pkg.dev/{said['project']}/docker-hub"
served = {
    "serving_container_image_uri": f"{repository}/tensorflow/serving:2.20.0",
    "serving_container_args": [
        "--rest_api_port=8080", "--port=8500", "--model_name=model", "--model_base_path=$(AIP_STORAGE_URI)",
    ],
    "serving_container_ports": [8080],
    "serving_container_predict_route": "/v1/models/model:predict",
    "serving_container_health_route": "/v1/models/model",
}
if said.get("serving") == "prebuilt":
    served = {"serving_container_image_uri": "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"}
model = aiplatform.Model.upload(
    display_name="model-1", artifact_uri=f"{base}/jobs/job-1/model", labels=labels, **served
)
endpoint = aiplatform.Endpoint.create(
    display_name="endpoint-1", labels=labels, dedicated_endpoint_enabled=said.get("dedicated_endpoint", True)
)
endpoint.deploy(
    model, deployed_model_display_name="model-1", machine_type=said.get("endpoint_machine_type", "n1-standard-2"),
    min_replica_count=said.get("min_replica_count", 1), max_replica_count=said.get("max_replica_count", 1),
    traffic_percentage=100, **account,
)
model.batch_predict(
    job_display_name="batch-1", gcs_source=[f"{base}/rows.jsonl"], gcs_destination_prefix=f"{base}/predictions",
    instances_format="jsonl", predictions_format="jsonl", labels=labels,
    machine_type=said.get("endpoint_machine_type", "n1-standard-2"),
    starting_replica_count=said.get("min_replica_count", 1), max_replica_count=said.get("max_replica_count", 1),
    **account,
)
print(int(tuning.state), model.resource_name, len(endpoint.list_models()))
"""
# Reads bodies strictly, and writes them with the same spelling of numbers and defaults.
READ = r"""
import json, sys
from google.cloud.aiplatform_v1 import types
from google.protobuf import json_format

def read(kind, body):
    message = getattr(types, kind)
    try:
        parsed = json_format.ParseDict(body, message.pb(message()), ignore_unknown_fields=False)
        return json_format.MessageToDict(parsed)
    except json_format.ParseError as error:
        return str(error)

print(json.dumps([read(*asked) for asked in json.load(sys.stdin)]))
"""
# Runs a job that succeeds, and one that does not.
RUN = r"""
import re, sys, time
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform

sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.05))
aiplatform.init(
    project="proj", location="us-central1", staging_bucket="gs://bkt", credentials=AnonymousCredentials(),
    api_endpoint=sys.argv[1], api_transport="rest",
)
for name in ("good", "bad"):
    machine, container = {"machine_type": "n1-standard-4"}, {"image_uri": "x"}
    pool = {"machine_spec": machine, "replica_count": 1, "container_spec": container}
    job = aiplatform.CustomJob(display_name=name, worker_pool_specs=[pool])
    try:
        job.run()
        print("END", job.state.name)
    except RuntimeError as error:
        print("END", re.search(r"the replica \S+ exited", str(error))[0])
"""


TO_DICT = """
import json, sys
from google.cloud.aiplatform_v1 import types
bodies = {}
for kind, body in json.load(sys.stdin):
    message = getattr(types, kind).from_json(json.dumps(body))
    # As gcloud has it, a pool that is left out stands there.
    spec = message.job_spec if kind == "CustomJob" else message.trial_job_spec
    spec.worker_pool_specs.append(types.WorkerPoolSpec())
    for numbers in (True, False):
        bodies[f"{kind} {numbers}"] = type(message).to_dict(message, use_integers_for_enums=numbers)
    bodies[f"{kind} JSON"] = json.loads(type(message).to_json(message))
print(json.dumps(bodies, default=str))
"""
