"""The settings of notifications: where messages go. A part of settings.py, which reads them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr


def _address_of(*schemes: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text and re.fullmatch(rf"(?:{'|'.join(schemes)})://[^\s/]+(?:/\S*)?", text) is None:
            raise ValueError(f"must be empty or an address such as {schemes[0]}://host")
        return value

    return AfterValidator(check)


def _check_mailbox(text: str) -> str:
    if re.fullmatch(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+", text, re.ASCII) is None:
        raise ValueError("must be an e-mail address such as name@host")
    return text


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(item.strip() for item in value.split(",")) if value.strip() else ()


Mailbox = Annotated[str, AfterValidator(_check_mailbox)]


class Section(BaseModel):
    """What all sections of the settings have in common: unknown keys are errors, secrets stay out of these."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class NotifySettings(Section):
    """Who is told when something is wrong, once for each cause; nobody unless one of these is set."""

    webhook_url: Annotated[SecretStr, _address_of("https", "http")] = Field(
        SecretStr(""), description="address that gets a JSON message by POST; empty: none"
    )
    smtp_url: Annotated[SecretStr, _address_of("smtps", "smtp")] = Field(
        SecretStr(""),
        description="mail server, smtp://user:password@host:port (smtps: TLS from the start); empty: none",
    )
    email_to: Annotated[tuple[Mailbox, ...], BeforeValidator(_split)] = Field(
        (), description="who gets the mails; none without the mail server"
    )
    email_from: Mailbox = Field("trading-platform@localhost", description="sender of the mails")
