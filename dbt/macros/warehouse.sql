{# The end of a build. Over the lake: the copy that was written to is detached, then takes the published file's place;
   anything that failed, a test included, leaves the published file as it was. In the database: who reads the platform's
   tables may read the marts. #}

{% macro building() %}
  {{ return(execute and flags.WHICH in ['build', 'run', 'retry', 'seed', 'snapshot']) }}
{% endmacro %}

{% macro detach_warehouse() %}
  {% if building() and target.type == 'duckdb' %}detach warehouse{% endif %}
{% endmacro %}

{% macro end_build(results) %}
  {% if building() and target.type == 'duckdb' %}
    {% set failed = results | selectattr('status', 'in', ['error', 'fail']) | list %}
    select {{ 'discard_warehouse' if failed else 'publish_warehouse' }}()
  {% elif building() %}
    grant usage on schema marts to tp_reader;
    grant select on all tables in schema marts to tp_reader
  {% endif %}
{% endmacro %}

{# Schemas are called as the folders of the models: `marts`, not `marts_marts`. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ custom_schema_name or target.schema }}
{%- endmacro %}
