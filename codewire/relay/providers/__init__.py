"""Who vouches for users: GitHub, an OpenID provider. Asked over HTTP; knows no store, no pages."""
