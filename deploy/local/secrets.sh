#!/bin/bash
# Writes the secrets docker-compose.yml asks for into .env. Those that are there stay as they are.
# Replace WHATSAPP_APP_SECRET and WHATSAPP_VERIFY_TOKEN by those of the app at Meta, and add its WHATSAPP_ACCESS_TOKEN
# and WHATSAPP_PHONE_NUMBER_ID.
set -euo pipefail
cd "$(dirname "$0")/../.."
umask 077

readonly names=(
  POSTGRES_PASSWORD
  NATS_ROUTE_PASSWORD NATS_SYSTEM_PASSWORD NATS_OPERATOR_PASSWORD
  NATS_INGEST_PASSWORD NATS_EDGE_PASSWORD NATS_PERSISTENCE_PASSWORD NATS_WHATSAPP_PASSWORD
  NATS_LINKED_PASSWORD NATS_WEBHOOKS_PASSWORD NATS_BOT_PASSWORD NATS_BULK_PASSWORD
  JWT_SECRET SEALING_KEY MEDIA_URL_KEY WHATSAPP_API_KEY WHATSAPP_APP_SECRET WHATSAPP_VERIFY_TOKEN
)

# A letter first: nats-server reads a variable like a setting, and 12e3 is a number.
secret() { printf 's%s' "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"; }

touch .env
# A last line without an end would swallow the first that is written behind it.
[ -z "$(tail -c 1 .env)" ] || echo >>.env
for name in "${names[@]}"; do
  grep -q "^$name=." .env && continue
  # Without a value it is missing, for compose too.
  sed -i "/^$name=\$/d" .env
  echo "$name=$(secret)" >>.env
  echo "secrets: made $name" >&2
done
