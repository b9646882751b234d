--- The version of the library, semver.
return "0.1.0"
