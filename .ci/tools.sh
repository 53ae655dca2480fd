# What the scripts of this directory share.

# Installs the packages whose program is missing, where that is possible without a question. An argument is
# the name of both, or PROGRAM:PACKAGE.
install_missing() {
    local missing=() name sudo=()
    for name in "$@"; do
        command -v "${name%%:*}" >/dev/null || missing+=("${name##*:}")
    done
    ((${#missing[@]})) || return 0
    [[ $EUID == 0 ]] || sudo=(sudo -n)
    if ! { "${sudo[@]}" apt-get update -q && "${sudo[@]}" apt-get install -qy "${missing[@]}"; }; then
        echo "could not install ${missing[*]}: going on without"
    fi
}
