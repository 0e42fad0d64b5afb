{# Apart from stg_days: a repair changes the regimes of later days too, because their filter runs on, but not the bars. #}
{{ revisions_of(['bars', 'regimes']) }}
