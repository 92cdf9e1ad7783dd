"""What a run asks of an S3 bucket, looked at before anything is planned."""

from typing import Any

from rnngen.errors import InputError


def require_bucket(storage: Any, providers: Any) -> None:
    """InputError of one line if the bucket of a run may not be read, or its server cannot be reached.

    `storage` and `providers` are Snakemake's `storage_settings` and `storage_provider_settings`, whose own message
    about this lists all files. A bucket that does not exist is made by Snakemake.
    """
    scheme, _, place = (storage.default_storage_prefix or "").partition("://")
    if storage.default_storage_provider != "s3" or scheme != "s3":
        return
    import boto3  # comes with Snakemake's plugin
    from botocore.exceptions import BotoCoreError, ClientError

    bucket = place.partition("/")[0]
    given = providers["s3"].get_settings()
    client = boto3.client(
        "s3",
        endpoint_url=given.endpoint_url,
        region_name=given.region,
        aws_access_key_id=given.access_key,
        aws_secret_access_key=given.secret_key,
        aws_session_token=given.token,
    )
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        answer = error.response["Error"]
        if answer["Code"] != "404":
            raise InputError(
                f"s3://{bucket}: {answer['Code']} {answer.get('Message', '')}; these credentials need the right to "
                f"list the bucket, to read it and to write to it"
            ) from error
    except BotoCoreError as error:
        raise InputError(f"s3://{bucket}: {error}; correct the credentials, or the address of the server") from error
