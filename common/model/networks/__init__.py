"""The networks, a file for each family; common/model/build.py chooses by name."""
