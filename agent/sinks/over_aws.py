"""What the sinks for Amazon's services share: who we are, where the service is, what its errors mean.

aiobotocore finds the credentials, resolves the endpoint, signs and sends; it does not retry, as the runner does.
Without credentials in the URL they come the way of all AWS programs: environment, ~/.aws, the container's or
the instance's role. Error codes: "Common Errors" of each service's API reference, and Amazon S3's "Error
Responses".
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own, no OSError
    ConnectTimeoutError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    ReadTimeoutError,
)
from yarl import URL

import agent
from agent.errors import SettingsError, SinkError
from agent.options import SECRET, TEXT, Secret, option, optional, revealed
from agent.sinks.base import Misconfigured, Outcome, Refused, Retry, Sink, Target, TlsOptions, TooLarge
from agent.sinks.over_http import judge, retry_after
from agent.sinks.url import ENDPOINT
from agent.transport import TransportError, UntrustedError
from agent.transport.http import CONNECT_S, Reply, explained

#: Passing troubles that come as a 400 or 403.
_LATER = {
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
    "RequestLimitExceeded", "TooManyRequestsException", "SlowDown", "ServiceUnavailableException",
    "InternalError", "InternalFailure", "InternalServerException", "RequestTimeout", "RequestTimeoutException",
    "OperationAborted", "OperationAbortedException", "BadDigest", "IncompleteBody",
}  # fmt: skip
#: What is about us, and no record, and comes as a 400.
_TO_MEND = {
    "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "IncompleteSignature",
    "InvalidClientTokenId", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
    "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "OptInRequired",
    "ResourceNotFoundException", "LimitExceededException", "PermanentRedirect", "TemporaryRedirect",
    "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
}  # fmt: skip
#: Without an answer, these may pass; all else that botocore complains of is a setting.
_MAY_PASS = (
    ConnectionError,
    HTTPClientError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    ChecksumError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsOptions(TlsOptions):
    """The options of every sink for a service of Amazon's."""

    endpoint: str | None = option(
        optional(ENDPOINT),
        None,
        help="the service's URL, where it is not Amazon's own",
        example="http://minio:9000",
        group="aws",
    )
    access_key_id: str | None = option(
        optional(TEXT),
        None,
        help="unset: found as by all AWS programs (AWS_ACCESS_KEY_ID, ~/.aws, the role of the container or instance)",
        group="aws",
    )
    secret_access_key: Secret | None = option(optional(SECRET), None, help="the key to it", group="aws")
    session_token: Secret | None = option(
        optional(SECRET), None, help="for temporary credentials, besides the key", group="aws"
    )
    profile: str | None = option(
        optional(TEXT), None, help="a profile of ~/.aws, with its role_arn if it has one", group="aws"
    )


Options = TypeVar("Options", bound=AwsOptions)
Failed: TypeAlias = Misconfigured | Retry | TooLarge | Refused


class Declined(Exception):
    """A request that was not done. code: the service's word for why; empty: there was no answer."""

    def __init__(self, code: str, outcome: Outcome) -> None:
        self.code = code
        self.outcome = outcome
        super().__init__(code)


class AwsSink(Sink[Options], Generic[Options]):
    """A service of Amazon's, or one that speaks as it does. service: botocore's name for it."""

    service: ClassVar[str]

    def __init__(self, target: Target, options: Options) -> None:
        super().__init__(target, options)
        if target.port is not None:
            raise SettingsError([f"sink {target.name}: {target.scheme} takes no port; see option 'endpoint'"])
        if (options.access_key_id is None) != (options.secret_access_key is None):
            raise SettingsError(
                [f"sink {target.name}: access_key_id and secret_access_key go together: one is missing"]
            )
        self._client: Any = None
        self._open = contextlib.AsyncExitStack()

    @property
    @abc.abstractmethod
    def region(self) -> str | None:
        """Where the service is; None: as AWS_DEFAULT_REGION or the profile says."""

    def configure(self) -> dict[str, Any]:
        """Further fields of botocore's Config."""
        return {}

    def judge(self, code: str, reply: Reply) -> Outcome:
        """What an error means. code: the service's word for it; `reply.body` has that, too, and its explanation."""
        if code in _LATER:
            return Retry(_why(reply), retry_after(reply, time.time()))
        if code in _TO_MEND:
            return Misconfigured(_why(reply))
        if code == "EntityTooLarge":
            return TooLarge(_why(reply))
        return judge(reply, now=time.time())

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:  # noqa: ARG002
        await self.close()
        own = self.options
        own.context()  # says which file is bad; botocore does not
        try:
            session = AioSession(profile=own.profile)
            # Some hundred milliseconds of reading and parsing, which the loop need not wait for.
            await asyncio.to_thread(_read_models, session, self.service)
            self._client = await self._open.enter_async_context(
                session.create_client(
                    self.service,
                    region_name=self.region,
                    endpoint_url=own.endpoint,
                    verify=(own.ca or None) if own.verify else False,
                    aws_access_key_id=own.access_key_id,
                    aws_secret_access_key=own.secret_access_key and own.secret_access_key.reveal(),
                    aws_session_token=own.session_token and own.session_token.reveal(),
                    config=AioConfig(
                        retries={"total_max_attempts": 1, "mode": "standard"},
                        connect_timeout=CONNECT_S,
                        read_timeout=own.timeout,
                        parameter_validation=False,
                        client_cert=(own.cert, own.key) if own.key else own.cert,
                        connector_args={"use_dns_cache": False},
                        user_agent_extra=f"dockferry/{agent.__version__}",
                        **self.configure(),
                    ),
                )
            )
        except (BotoCoreError, ValueError) as error:
            raise SinkError(f"its client cannot be made: {error}") from error

    async def close(self) -> None:
        self._client = None
        opened, self._open = self._open, contextlib.AsyncExitStack()
        await opened.aclose()

    async def ask(self, operation: str, **parameters: object) -> Mapping[str, Any]:
        """What the service answers to that operation, in botocore's names. Raises Declined."""
        if self._client is None:
            raise RuntimeError("a sink is opened before it is used")
        try:
            answer: Mapping[str, Any] = await getattr(self._client, operation)(**parameters)
        except ClientError as error:
            code, reply = self._reply(error)
            raise Declined(code, self.judge(code, reply)) from error
        except BotoCoreError as error:
            raise Declined("", self._unanswered(error)) from error
        return answer

    def _reply(self, error: ClientError) -> tuple[str, Reply]:
        """Code and answer. Of an explanation the first line: the next ones may repeat what was signed."""
        about, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        code, text = str(about.get("Code", "")), str(about.get("Message", "")).partition("\n")[0]
        for secret in revealed(self.options):
            text = text.replace(secret, "***")
        headers = {name.title(): value for name, value in meta.get("HTTPHeaders", {}).items()}
        said = ": ".join(filter(None, [code if not code.isdigit() else "", text]))
        return code, Reply(int(meta.get("HTTPStatusCode", 0)), headers, said.encode())

    def _unanswered(self, error: BotoCoreError) -> Outcome:
        url = URL(error.kwargs.get("endpoint_url") or self._client.meta.endpoint_url)
        where, cause = f"{url.raw_host}:{url.port}", error.kwargs.get("error")
        if isinstance(error, NoCredentialsError):
            return Misconfigured(
                "no credentials are found: set access_key_id and secret_access_key, or give it a role"
            )
        if isinstance(error, ReadTimeoutError):
            return Retry(f"{where}: no answer within {self.options.timeout:g} s")
        if isinstance(error, ConnectTimeoutError):
            return Retry(f"cannot connect to {where} within {CONNECT_S:g} s")
        if isinstance(cause, aiohttp.ClientError):
            known: TransportError = explained(cause, where)
            return Misconfigured(str(known)) if isinstance(known, UntrustedError) else Retry(str(known))
        return Retry(str(error)) if isinstance(error, _MAY_PASS) else Misconfigured(str(error))


def worst(outcomes: Iterable[Outcome]) -> Failed | None:
    """Of several answers the one that says most about what to do next; None: all is well."""
    failed = [each for each in outcomes if isinstance(each, Misconfigured | Retry | TooLarge | Refused)]
    order = (Misconfigured, Retry, TooLarge, Refused)
    return min(failed, key=lambda each: order.index(type(each)), default=None)


def _why(reply: Reply) -> str:
    return f"it answered {reply.status}: {reply.text}"


def _read_models(session: Any, service: str) -> None:  # noqa: ANN401 - botocore has no types
    """The service's description and rules for its endpoints, into the session's own cache."""
    loader = session.get_component("data_loader")
    for model in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model(service, model)
