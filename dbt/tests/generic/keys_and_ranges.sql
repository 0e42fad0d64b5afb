{# Generic tests of our own: what a package from dbt's hub would bring, without a network. #}

{% test unique_combination(model, columns) %}
  select {{ columns | join(', ') }}, count(*) as rows_of_it
  from {{ model }} group by {{ columns | join(', ') }} having count(*) > 1
{% endtest %}

{% test in_range(model, column_name, least=none, most=none, above=none, below=none) %}
  {# NaN is in no range; null is judged by not_null. #}
  select {{ column_name }} from {{ model }}
  where {{ column_name }} is not null and not (
    {{ column_name }} = {{ column_name }}
    {% if least is not none %}and {{ column_name }} >= {{ least }}{% endif %}
    {% if most is not none %}and {{ column_name }} <= {{ most }}{% endif %}
    {% if above is not none %}and {{ column_name }} > {{ above }}{% endif %}
    {% if below is not none %}and {{ column_name }} < {{ below }}{% endif %}
  )
{% endtest %}

{% test holds(model, expression) %}
  select * from {{ model }} where not ({{ expression }})
{% endtest %}
