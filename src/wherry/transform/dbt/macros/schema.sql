{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- Exactly the schema that is named: the packaged tables lie where everyone looks for them. -#}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}


{% macro is_packaged(name) -%}
    {#- Whether the shop has no model of its own under this name. -#}
    {{ return(name not in var('overridden')) }}
{%- endmacro %}
