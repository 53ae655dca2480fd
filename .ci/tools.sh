# Functions shared by the scripts in this directory.

# install_missing <program[:package]...>: installs the packages of missing programs if that needs no confirmation.
# The package has the name of the program unless another one is given.
install_missing() {
    local missing=() name sudo=()
    for name in "$@"; do
        command -v "${name%%:*}" >/dev/null || missing+=("${name##*:}")
    done
    ((${#missing[@]})) || return 0
    [[ $EUID == 0 ]] || sudo=(sudo -n)
    if ! { "${sudo[@]}" apt-get update -q && "${sudo[@]}" apt-get install -qy "${missing[@]}"; }; then
        echo "could not install ${missing[*]}: continuing without"
    fi
}
