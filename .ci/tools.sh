# What the scripts of this directory share.

# Installs the packages whose program is missing, where that is possible without a question.
install_missing() {
    local missing=() program sudo=()
    for program in "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    ((${#missing[@]})) || return 0
    [[ $EUID == 0 ]] || sudo=(sudo -n)
    if ! { "${sudo[@]}" apt-get update -q && "${sudo[@]}" apt-get install -qy "${missing[@]}"; }; then
        echo "could not install ${missing[*]}: going on without"
    fi
}
