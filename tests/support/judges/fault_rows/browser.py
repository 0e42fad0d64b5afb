"""The catalogue's faults: browser."""

from __future__ import annotations

from tests.support.judges.fault_rows.row import Row

GUARD = "tests/unit/orchestration/test_guard.py::"
UI = "tests/integration/test_ui.py::"

ROWS: dict[str, Row] = {
    "B1": Row(
        "a page elsewhere asks the UI to change something: by GET, a form, a script, a socket",
        "403, 405 or 415 with the reason in a line; nothing changes",
        (
            GUARD + "test_a_get_changes_nothing",
            GUARD + "test_another_origin_is_refused",
            UI + "test_only_the_uis_own_requests_change_anything",
            UI + "test_in_a_real_browser",
        ),
    ),
    "B2": Row(
        "a name of a page elsewhere is made to lead to this machine (DNS rebinding)",
        "403; names besides the loopback's are those of `UI__HOSTS`",
        (GUARD + "test_another_name_that_leads_here_is_refused", GUARD + "test_hosts_that_the_settings_name_pass"),
    ),
    "B3": Row(
        "a page elsewhere shows the UI in a frame, to have its buttons clicked",
        "the browser shows nothing",
        (GUARD + "test_no_page_may_show_ours_in_a_frame",),
    ),
}
