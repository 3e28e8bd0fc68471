"""What a relay remembers: one module a family of tables, the same SQL on SQLite and PostgreSQL."""
