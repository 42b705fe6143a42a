"""Who the caller is: where the bearer token of a request comes from. Importing it loads no globus-sdk.

`LoginManager` signs in with Globus Auth; `LoginManagerProtocol` is what a login manager of your own has to offer;
`authorizer` chooses between all the ways, of which the token that `funcx up` saved is the usual one.
"""

from funcx_core.sdk.login_manager.manager import LoginManager
from funcx_core.sdk.login_manager.protocol import LoginManagerProtocol
from funcx_core.sdk.login_manager.scopes import FuncxScopes

__all__ = ["FuncxScopes", "LoginManager", "LoginManagerProtocol"]
