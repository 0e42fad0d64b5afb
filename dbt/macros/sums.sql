{# Counts as integers: the sum of integers is wider than one in either database, and not alike. #}
{% macro whole(expression) -%}
  cast({{ expression }} as bigint)
{%- endmacro %}

{# A part of a whole; null of nothing. #}
{% macro share(part, whole) -%}
  ({{ part }}) / nullif({{ whole }}, 0)
{%- endmacro %}

{# The logarithmic return of a bar since the bar before it on the same day; of a day's first bar since its own open. #}
{% macro log_return() -%}
  ln(close / coalesce(lag(close) over (partition by timeframe, venue, symbol, date order by ts_open), open))
{%- endmacro %}
