#!/bin/sh
# MLflow's database and its owner, beside Dagster's. The PostgreSQL image runs this once, on an empty
# volume; running it again changes nothing but the password.
set -eu
: "${MLFLOW_DB_PASSWORD:?is not set}"

psql --no-psqlrc -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  -v password="$MLFLOW_DB_PASSWORD" <<'SQL'
SELECT 'CREATE ROLE mlflow LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mlflow') \gexec
ALTER ROLE mlflow PASSWORD :'password';
SELECT 'CREATE DATABASE mlflow OWNER mlflow'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'mlflow') \gexec
REVOKE CONNECT ON DATABASE mlflow FROM PUBLIC;
SQL
