# bash completion for timesliced. Options are read from the output of --help, the keys of --set from the installed
# configuration, which lists every key. Tests name another file in $TIMESLICED_SAMPLE.

_timesliced() {
    local program=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local sample=${TIMESLICED_SAMPLE:-/etc/timesliced/timesliced.conf}
    if [ "$cur" = = ]; then
        cur=
    elif [ "$previous" = = ]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    COMPREPLY=()
    case $previous in
    --config) mapfile -t COMPREPLY < <(compgen -o plusdirs -f -- "$cur") ;;
    --set)
        compopt -o nospace 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -S = -W "$(sed -n '/^\[\([a-z]*\)\].*/{s//\1/;h;}
            /^#\{0,1\}\([a-z_]*\) =.*/{s//\1/;G;s/\(.*\)\n\(.*\)/\2.\1/p;}' "$sample" 2>/dev/null)" -- "$cur")
        ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W "$("$program" --help 2>/dev/null |
            sed -n 's/^  \(--[a-z-]*\)[ ].*/\1/p')" -- "$cur")
        ;;
    esac
}

complete -F _timesliced timesliced
