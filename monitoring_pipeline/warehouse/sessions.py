"""What every session of ours is set to, whatever the server, the database and the role set for others."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, text

from monitoring_pipeline.errors import WarehouseError

ENCODING = "UTF8"
BLANK = r"\ "
SETTINGS = {
    "client_encoding": ENCODING,
    "timezone": "UTC",
    "search_path": '"$user",public',
    "standard_conforming_strings": "on",  # texts of the migrations hold backslashes
    "datestyle": "ISO,MDY",
    "intervalstyle": "postgres",  # the only one that the driver reads
    "extra_float_digits": "1",  # floats to the last digit
    "bytea_output": "hex",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "default_transaction_isolation": "read committed",
}
ENCODINGS = text("select datname, pg_encoding_to_char(encoding) from pg_database where datname = any(:names)")
# Dagster makes connections of its own in several places; what its role is set to in its database reaches all.
SETTINGS_OF_ROLE = text(
    "select unnest(s.setconfig) from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase"
    " where d.datname = :database and s.setrole = (select oid from pg_roles where rolname = current_user)"
)
LOCK = 7_215_411_993_061_002  # any number that no other program on this database uses
TAKE_LOCK = text("select pg_advisory_xact_lock(:lock)")
FOR_DAGSTER = ("client_encoding", "timezone", "search_path", "datestyle", "standard_conforming_strings")


def options(**more: str) -> str:
    """libpq's ``options``: what is set when a session starts, ``more`` included; it goes before all other settings."""
    chosen = SETTINGS | more
    return " ".join(f"-c {name}={value.replace(' ', BLANK)}" for name, value in chosen.items())


def check_encoding(connection: Connection, *databases: str | None) -> None:
    """Raises WarehouseError for a database that cannot hold every text; one that is not there is let pass."""
    for name, encoding in connection.execute(ENCODINGS, {"names": list(databases)}).all():
        if encoding != ENCODING:
            raise WarehouseError(
                f"the database {name!r} is encoded in {encoding}, which does not hold every text; let DATABASE_URL name"
                f" another, made by: {created(connection.engine, 'NAME')}"
            )


def created(engine: Engine, name: str, owner: str | None = None) -> str:
    """The statement that makes a database for us, whatever the server's own encoding is."""
    quoted = name if name == "NAME" else engine.dialect.identifier_preparer.quote_identifier(name)
    owned = f" owner {engine.dialect.identifier_preparer.quote(owner)}" if owner else ""
    return f"create database {quoted}{owned} encoding 'UTF8' lc_collate 'C' lc_ctype 'C' template template0"


def pin_role(engine: Engine, database: str) -> None:
    """This role's sessions in Dagster's database start as ours do. Several processes may start at once."""
    quote = engine.dialect.identifier_preparer.quote_identifier
    with engine.begin() as connection:
        connection.execute(TAKE_LOCK, {"lock": LOCK})
        there = {
            one.replace(", ", ",") for one in connection.execute(SETTINGS_OF_ROLE, {"database": database}).scalars()
        }
        for name in FOR_DAGSTER:
            if f"{name}={SETTINGS[name]}" not in there:
                value = SETTINGS[name] if name == "search_path" else f"'{SETTINGS[name]}'"
                connection.exec_driver_sql(
                    f"alter role current_user in database {quote(database)} set {name} = {value}"
                )
