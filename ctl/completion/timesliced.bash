# bash completion for timesliced. Options are those of its --help; keys of --set are those of the sample configuration,
# where that is installed.

_timesliced() {
    local program=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local sample=${TIMESLICED_SAMPLE:-/etc/timesliced/timesliced.conf}
    if [ "$cur" = = ]; then
        cur=
    elif [ "$before" = = ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    COMPREPLY=()
    case $before in
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
