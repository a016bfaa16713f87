"""Why a network decided: evidence maps, and the module that is exported with them."""
