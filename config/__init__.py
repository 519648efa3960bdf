"""Settings, defaults and deployment files.

`config.settings.load` reads them; nothing is imported here, so that `import config` costs nothing.
"""
