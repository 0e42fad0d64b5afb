"""Sensor: tell people what is wrong, by webhook or e-mail, once for each cause."""

import json
from collections.abc import Iterable

import dagster as dg

from trading_platform.domain.cause import Cause
from trading_platform.domain.errors import WorkError
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import failing
from trading_platform.settings import Settings
from trading_platform.telemetry.notices import Channel, Mail, Told, Webhook, after, due


@dg.sensor(
    name="notify",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks every minute for what is wrong: a venue that is silent, gaps that do not close, files that a "
    "gate refused, a job whose latest run failed. Tells it once when it begins, daily while it lasts, and when it has "
    "ended, by the webhook and the e-mail of the settings (NOTIFY). Idle without them.",
)
def notify(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.SensorResult | dg.SkipReason:
    """Send what is due on each channel; what did not get there is due again at the next tick."""
    from trading_platform.pipeline.causes import causes_now

    channels = channels_of(pipeline.settings)
    if not channels:
        return dg.SkipReason("no webhook and no mail server is set (NOTIFY__WEBHOOK_URL, NOTIFY__SMTP_URL)")
    now_ns = pipeline.now_ns()
    causes = causes_now(pipeline.data, pipeline.ledger, now_ns) if pipeline.has_data else []
    causes += [Cause(f"run {job}", "ticket", f"the latest run of {job} failed") for job in failing(context.instance)]
    kept: dict[str, dict[str, list[object]]] = json.loads(context.cursor or "{}")
    cursor, lines = {}, []
    for channel in channels:
        cursor[channel.name], line = _tell(channel, _read(kept.get(channel.name, {})), causes, now_ns)
        lines.append(line)
    return dg.SensorResult(skip_reason="; ".join(lines), cursor=json.dumps(cursor))


def channels_of(settings: Settings) -> list[Channel]:
    """Return the channels that the settings name."""
    named = settings.notify
    found: list[Channel] = []
    if url := named.webhook_url.get_secret_value():
        found.append(Webhook(url))
    if (url := named.smtp_url.get_secret_value()) and named.email_to:
        found.append(Mail(url, named.email_from, named.email_to))
    return found


def _tell(channel: Channel, told: Told, causes: Iterable[Cause], now_ns: int) -> tuple[Told, str]:
    sent = 0
    for notice in due(told, causes, now_ns):
        try:
            channel.send(notice)
        except WorkError as error:
            return told, f"{channel.name}: {sent} sent, then {error}"
        told, sent = after(told, notice), sent + 1
    return told, f"{channel.name}: {sent} sent, {len(told)} causes last"


def _read(kept: dict[str, list[object]]) -> Told:
    found = {}
    for key, (tier, text, since_ns, told_ns) in kept.items():
        found[key] = (str(tier), str(text), int(str(since_ns)), int(str(told_ns)))
    return found
