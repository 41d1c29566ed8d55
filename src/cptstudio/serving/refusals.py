"""Refusals as clients of OpenAI's API read them: {"error": {message, type, param, code}}."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any


class RefusedError(Exception):
    """A request that is not answered, and what its sender is told.

    Args:
        status: of the answer.
        message: what is wrong, with its value, and what to do.
        code: what programs tell it by, such as "model_not_found".
        param: the field of the body it is about, or None.
        headers: of the answer, besides the usual ones.
    """

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        code: str,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """The answer's body."""
        kinds = {
            HTTPStatus.UNAUTHORIZED: "authentication_error",
            HTTPStatus.FORBIDDEN: "permission_error",
            HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
        }
        usual = "server_error" if self.status >= 500 else "invalid_request_error"
        return {
            "error": {
                "message": self.message,
                "type": kinds.get(self.status, usual),
                "param": self.param,
                "code": self.code,
            }
        }


def bad(message: str, param: str | None = None, code: str = "invalid_value") -> RefusedError:
    """Return the refusal of a field's value."""
    return RefusedError(HTTPStatus.BAD_REQUEST, message, code, param)
