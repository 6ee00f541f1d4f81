"""The command line: ``app`` has the program, ``commands`` one module a command, ``views`` their pages."""
