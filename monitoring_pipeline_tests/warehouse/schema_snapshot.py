"""What a schema consists of, as plain rows: two databases with equal snapshots were made alike."""

from __future__ import annotations

from sqlalchemy import Connection

OURS = "in ('monitoring', 'monitoring_migrations')"
PARTS = (
    f"select 'schema', nspname::text, obj_description(oid, 'pg_namespace') from pg_namespace where nspname {OURS}",
    f"""
    select 'relation', c.oid::regclass::text, c.relkind::text, c.relispartition, obj_description(c.oid, 'pg_class'),
      pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid),
      case when c.relkind = 'v' then pg_get_viewdef(c.oid) end
    from pg_class c join pg_namespace s on s.oid = c.relnamespace
    where s.nspname {OURS} and c.relkind in ('r', 'p', 'v', 'S', 'm')""",
    f"""
    select 'column', c.oid::regclass::text, row_number() over (partition by c.oid order by a.attnum), a.attname::text,
      format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text, pg_get_expr(d.adbin, d.adrelid),
      col_description(c.oid, a.attnum)
    from pg_class c join pg_namespace s on s.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where s.nspname {OURS} and c.relkind in ('r', 'p', 'v', 'm')""",
    f"""
    select 'constraint', k.conrelid::regclass::text, k.conname::text, pg_get_constraintdef(k.oid)
    from pg_constraint k join pg_namespace s on s.oid = k.connamespace where s.nspname {OURS}""",
    f"select 'index', indexname::text, indexdef from pg_indexes where schemaname {OURS}",
    f"""
    select 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc')
    from pg_proc p join pg_namespace s on s.oid = p.pronamespace where s.nspname {OURS}""",
    f"""
    select 'type', t.oid::regtype::text, t.typtype::text, format_type(t.typbasetype, t.typtypmod)
    from pg_type t join pg_namespace s on s.oid = t.typnamespace where s.nspname {OURS}""",
    f"""
    select 'trigger', t.tgrelid::regclass::text, t.tgname::text, pg_get_triggerdef(t.oid)
    from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace s on s.oid = c.relnamespace
    where s.nspname {OURS} and not t.tgisinternal""",
)
CONTENTS = (
    "select 'mark', version_num from monitoring_migrations.alembic_version",
    "select 'views', sha256 from monitoring.applied_views",
)


def snapshot(connection: Connection) -> set[tuple[object, ...]]:
    """Every object of our schemas, its definition and its comment; of a migrated database its marks too."""
    parts = PARTS
    if connection.exec_driver_sql("select to_regclass('monitoring_migrations.alembic_version') is not null").scalar():
        parts += CONTENTS
    return {tuple(row) for part in parts for row in connection.exec_driver_sql(part)}
