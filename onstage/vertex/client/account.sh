#!/usr/bin/env bash
# Makes what Vertex AI jobs need in a Google Cloud project, and nothing that is there already: a private bucket, a service
# account that may use this bucket only, an Artifact Registry repository that has Docker Hub's images.
# `onstage vertex setup --create` makes the same. Without --apply the commands are only printed.
set -euo pipefail

usage() {
  echo "usage: ${0##*/} --project PROJECT --region REGION --bucket BUCKET [--account ID] [--repository NAME]" \
    "[--user EMAIL] [--apply]"
  echo "  --account     the service account's id, 6 to 30 characters [default: trainer-vertex]"
  echo "  --repository  [default: docker-hub]"
  echo "  --user        who is to send jobs; gets the roles for that"
  echo "  --apply       make it; without it, the commands are printed"
}

project="" region="" bucket="" account="trainer-vertex" repository="docker-hub" user="" apply="no"
while [[ $# -gt 0 ]]; do
  case "$1" in
    --project | --region | --bucket | --account | --repository | --user)
      if [[ $# -lt 2 ]]; then
        usage >&2
        exit 2
      fi
      printf -v "${1:2}" '%s' "$2"
      shift 2
      ;;
    --apply)
      apply="yes"
      shift
      ;;
    --help)
      usage
      exit 0
      ;;
    *)
      echo "error: $1 is not known" >&2
      usage >&2
      exit 2
      ;;
  esac
done
if [[ -z "$project" || -z "$region" || -z "$bucket" ]]; then
  usage >&2
  exit 2
fi
email="$account@$project.iam.gserviceaccount.com"

# Prints a command, and with --apply runs it.
run() {
  printf '%q ' "$@"
  echo
  if [[ "$apply" == "yes" ]]; then
    "$@" > /dev/null
  fi
}

# Whether something is there; without --apply nobody is asked.
there() {
  [[ "$apply" == "yes" ]] && "$@" > /dev/null 2>&1
}

run gcloud services enable aiplatform.googleapis.com artifactregistry.googleapis.com \
  cloudresourcemanager.googleapis.com iam.googleapis.com logging.googleapis.com storage.googleapis.com \
  --project "$project"

if ! there gcloud storage buckets describe "gs://$bucket" --project "$project"; then
  run gcloud storage buckets create "gs://$bucket" --project "$project" --location "$region" \
    --uniform-bucket-level-access --public-access-prevention
fi
run gcloud storage buckets update "gs://$bucket" --versioning
# The parts of an upload that nobody finishes cost money, and no list of objects has them.
lifecycle="$(mktemp)"
trap 'rm -f "$lifecycle"' EXIT
echo '{"rule": [{"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 7} }]}' > "$lifecycle"
run gcloud storage buckets update "gs://$bucket" --lifecycle-file "$lifecycle"

if ! there gcloud iam service-accounts describe "$email" --project "$project"; then
  run gcloud iam service-accounts create "$account" --project "$project" --display-name "Vertex AI jobs"
fi
# The jobs' containers write their own logs, and use nothing but the bucket.
run gcloud projects add-iam-policy-binding "$project" --member "serviceAccount:$email" \
  --role roles/logging.logWriter --condition None
for role in roles/storage.objectUser roles/storage.legacyBucketReader; do
  run gcloud storage buckets add-iam-policy-binding "gs://$bucket" --member "serviceAccount:$email" --role "$role"
done

if ! there gcloud artifacts repositories describe "$repository" --project "$project" --location "$region"; then
  run gcloud artifacts repositories create "$repository" --project "$project" --location "$region" \
    --repository-format docker --mode remote-repository --remote-docker-repo DOCKER-HUB
fi

if [[ -n "$user" ]]; then
  for role in roles/aiplatform.user roles/logging.viewer roles/artifactregistry.reader; do
    run gcloud projects add-iam-policy-binding "$project" --member "user:$user" --role "$role" --condition None
  done
  for role in roles/storage.objectUser roles/storage.legacyBucketReader; do
    run gcloud storage buckets add-iam-policy-binding "gs://$bucket" --member "user:$user" --role "$role"
  done
  run gcloud iam service-accounts add-iam-policy-binding "$email" --project "$project" --member "user:$user" \
    --role roles/iam.serviceAccountUser
fi

if [[ "$apply" == "no" ]]; then
  echo "# nothing was made: add --apply" >&2
fi
printf '# settings.toml, [vertex]:\nproject = "%s"\nbucket = "%s"\nservice_account = "%s"\nrepository = "%s"\n' \
  "$project" "$bucket" "$email" "$repository" >&2
