"""Binary messages described by tables: fields that read, write and explain themselves."""
