"""What AWS refuses, in words: what happened, the likely cause, what to type next. Never a key or a token."""

import re

from onstage.cloud import NotFoundError, UnreachableError
from onstage.errors import UserError

_KEY = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{12,}\b")
_SETUP = "onstage sagemaker setup"
_EXPIRED = "ExpiredToken ExpiredTokenException RequestExpired TokenRefreshRequired"
_WRONG_KEYS = (
    "InvalidClientTokenId UnrecognizedClientException InvalidAccessKeyId SignatureDoesNotMatch AuthFailure "
    "InvalidSignatureException IncompleteSignature MissingAuthenticationToken"
)
_DENIED = "AccessDenied AccessDeniedException UnauthorizedOperation Forbidden AllAccessDisabled 403"
_THROTTLED = (
    "Throttling ThrottlingException ThrottledException RequestLimitExceeded TooManyRequestsException SlowDown "
    "TooManyRequests RequestThrottled"
)
_DOWN = "InternalFailure InternalError ServiceUnavailable InternalServerError InternalServerException 500 502 503 504"
_WRONG_REGION = (
    "PermanentRedirect AuthorizationHeaderMalformed IllegalLocationConstraintException 301 "
    "InvalidLocationConstraint BucketRegionError"
)
_MISSING = "NoSuchBucket NoSuchKey 404 ResourceNotFound ResourceNotFoundException NoSuchEntity ObjectNotFoundException"
_QUOTA = "ResourceLimitExceeded LimitExceeded LimitExceededException ServiceQuotaExceededException"

# A part of a failure's reason, and what it usually means.
_CAUSES = {
    r"No module named '([\w.]+)'": "add {0} to src/requirements.txt, or the file to src/, and rehearse again",
    r"CapacityError|[Ii]nsufficient capacity": "AWS has none of these machines free now: try again later, another "
    "instance_type or another region in settings.toml",
    r"No S3 objects found|Data download failed": "send the data: onstage sagemaker upload",
    r"OutOfMemory|exit code: 137|ResourceExhausted|OOM": "the machine's memory is full: a smaller batch size, or a "
    "larger instance_type in settings.toml",
    r"No space left on device": "raise volume_gb in settings.toml",
    r"MaxRuntimeExceeded|MaxWaitTimeExceeded": "raise max_runtime (spot: spot_max_wait) in settings.toml, or "
    "train less",
    r"ping health check|no SavedModel bundles": "rehearse the endpoint of this model: onstage rehearse sagemaker",
    r"CannotStartContainerError|ImagePull|pull the image|repository does not exist": "look at the image in "
    f"settings.toml, and whether the role may pull from ECR: {_SETUP}",
    r"ClientError: See job logs": "one row that the model refuses fails the whole job, and its log has the reason; to "
    "see which row it is, write the file as rows into [batch] of settings.toml: onstage rehearse sagemaker --batch",
    r"AccessDenied|not authorized": f"the role lacks a permission: {_SETUP}",
    r"InternalServerError|internal error": "a fault of AWS: send the job again",
    r"AlgorithmError": "run the same job here, where it can be debugged: onstage rehearse sagemaker",
}


def explain(error: Exception, doing: str, region: str) -> UserError | None:
    """The UserError for an exception of boto3 or botocore, None for any other. `doing` says what was tried."""
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        return _refused(error, doing, region)
    if isinstance(error, BotoCoreError) or type(error).__module__.startswith(("botocore", "boto3", "s3transfer")):
        return _not_sent(error, doing)
    return None


def advice(reason: str) -> str:
    """What a FailureReason usually means; empty for one that is not known."""
    for pattern, cause in _CAUSES.items():
        if found := re.search(pattern, reason):
            return cause.format(*found.groups())
    return ""


def code(error: BaseException | None) -> str:
    """AWS's own code of what it refused, such as ValidationException; empty for other errors."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _refused(error: Exception, doing: str, region: str) -> UserError:
    name = code(error)
    said = _clean(error.response["Error"].get("Message") or name)  # type: ignore[attr-defined]
    told = f"{doing}: {name}: {said}"

    def one_of(names: str) -> bool:
        return name in names.split()

    if one_of(_EXPIRED):
        return UserError(f"{told}\nthe session has ended: log in again, for example with: aws sso login")
    if one_of(_WRONG_KEYS):
        return UserError(f"{told}\nAWS does not know these credentials: look at AWS_PROFILE, or run: aws configure")
    if name == "RequestTimeTooSkewed":
        return UserError(f"{told}\nset this machine's clock")
    if one_of(_DENIED):
        bucket = "; or it belongs to somebody else: bucket in settings.toml" if doing.startswith("s3") else ""
        return UserError(f"{told}\nyou may not do that{bucket}; the permissions to ask for: {_SETUP}")
    if one_of(_QUOTA):
        return UserError(f"{told}\n{_quota(said, region)}")
    if one_of(_THROTTLED):
        return UserError(f"{told}\nAWS is asked too often, by this account as a whole; try again in a minute")
    if one_of(_WRONG_REGION):
        return UserError(f"{told}\nthe bucket is not in {region}: settings.toml, [sagemaker] bucket and region")
    if name in ("BucketAlreadyExists", "OperationAborted"):
        return UserError(
            f"{told}\nthe name belongs to somebody else (names are shared by all accounts): choose another bucket in "
            "settings.toml, [sagemaker], such as one that ends in your account's number"
        )
    if name == "ModelError":
        response = error.response  # type: ignore[attr-defined]
        return UserError(f"the model refuses the request: {_clean(response.get('OriginalMessage') or said)}")
    if name == "ValidationException" and re.search(r"[Cc]ould not find|[Nn]ot found|does not exist", said):
        return NotFoundError(told)
    if name == "ValidationException" and re.search(r"assume the role|role (arn|ARN)|RoleArn|Role", said):
        return UserError(f"{told}\nlook at role in settings.toml, [sagemaker]: {_SETUP}")
    if one_of(_MISSING):
        return NotFoundError(told)
    if one_of(_DOWN):
        return UnreachableError(f"{told}\nAWS has a fault; try again later")
    return UserError(told)


def _not_sent(error: Exception, doing: str) -> UserError:
    kind = type(error).__name__
    told = f"{doing}: {_clean(str(error))}"
    if "Credential" in kind or kind in ("TokenRetrievalError", "LoginRefreshRequired"):
        return UserError(f"{told}\nlog in, for example with: aws configure, or aws sso login; then: {_SETUP}")
    if "SSO" in kind or "Token" in kind or "Login" in kind:
        return UserError(f"{told}\nthe session has ended: log in again, for example with: aws sso login")
    if kind in ("ProfileNotFound", "ConfigNotFound", "ConfigParseError"):
        return UserError(f"{told}\nlook at AWS_PROFILE and ~/.aws/config")
    if any(word in kind for word in ("Timeout", "Connect", "HTTPClient", "Proxy", "SSL", "Streaming")):
        asked = "is there a connection to the internet, and is the region in settings.toml right?"
        return UnreachableError(f"{told}\n{asked}")
    return UserError(told)


def _quota(said: str, region: str) -> str:
    found = re.search(r"ml\.[\w-]+\.\w+", said)
    what = f"{found[0]} in {region}" if found else f"this in {region}"
    return (
        f"the account may use no more of {what}: ask for more (console: Service Quotas, Amazon SageMaker), choose "
        "another instance_type in settings.toml, or end what runs: onstage sagemaker status"
    )


def _clean(text: str) -> str:
    return _KEY.sub("(access key)", text)


def denied(error: BaseException | None) -> bool:
    """Whether AWS refused for want of a permission."""
    return code(error) in _DENIED.split()
