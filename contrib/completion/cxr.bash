# bash completion for cxr. Written by tools/describe.c from the option tables in cli/; do not edit.
_cxr()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
    local options='' words='' kind='operand' verbs='inspect train tune runs evaluate compare predict explain serve calibrate quantize export summary fetch-weights phantom bench help'
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$verbs --help --version" -- "$cur")
        return
    fi
    case $verb in
    help) options=$verbs kind='word' words=$verbs ;;
    inspect)
        options="--out --format --all --strict --group-by --split-file --model --max-pixels --batch-size --device --precision --threads --deterministic --quiet --verbose --help"
        case $prev in
        --out | -o) kind='folder' ;;
        --format | -f) kind='word' words="table json " ;;
        --group-by) kind='word' ;;
        --split-file) kind='file' ;;
        --model | -m) kind='file' ;;
        --max-pixels) kind='word' ;;
        --batch-size | -b) kind='word' ;;
        --device) kind='word' words="auto cpu cuda reference " ;;
        --precision) kind='word' words="f32 bf16 int8 auto " ;;
        --threads | -j) kind='word' ;;
        esac
        ;;
    train)
        options="--recipe --group-by --val-fraction --train-images --skip-unreadable --max-pixels --size --resize --flip --rotate --crop-scale --brightness --contrast --zoom --gamma --noise --jpeg-quality --erase --arch --weights --allow-missing --head --dropout --freeze --epochs --batch-size --optimizer --lr --layer-decay --schedule --momentum --weight-decay --clip-norm --ema --swa --mixup --cutmix --label-smoothing --teacher --distil --distil-temperature --class-weights --balanced --early-stop --fit --seed --seeds --then-distil --out --name --resume --checkpoint-seconds --device --precision --threads --cache --cache-features --deterministic --tensorboard --quiet --verbose --help"
        case $prev in
        --recipe) kind='word' words="finetune article " ;;
        --group-by) kind='word' ;;
        --val-fraction) kind='word' ;;
        --train-images) kind='word' ;;
        --max-pixels) kind='word' ;;
        --size) kind='word' ;;
        --resize) kind='word' words="squash fit crop " ;;
        --flip) kind='word' ;;
        --rotate) kind='word' ;;
        --crop-scale) kind='word' ;;
        --brightness) kind='word' ;;
        --contrast) kind='word' ;;
        --zoom) kind='word' ;;
        --gamma) kind='word' ;;
        --noise) kind='word' ;;
        --jpeg-quality) kind='word' ;;
        --erase) kind='word' ;;
        --arch) kind='word' words="resnet18 resnet34 " ;;
        --weights | -w) kind='file' words="imagenet cxr none " ;;
        --allow-missing) kind='word' ;;
        --head) kind='word' words="none " ;;
        --dropout) kind='word' ;;
        --freeze) kind='word' words="backbone layer4 layer3 layer2 layer1 none " ;;
        --epochs | -e) kind='word' ;;
        --batch-size | -b) kind='word' ;;
        --optimizer) kind='word' words="adam adamw sgd " ;;
        --lr) kind='word' ;;
        --layer-decay) kind='word' ;;
        --schedule) kind='word' words="constant cosine onecycle " ;;
        --momentum) kind='word' ;;
        --weight-decay) kind='word' ;;
        --clip-norm) kind='word' ;;
        --ema) kind='word' ;;
        --swa) kind='word' ;;
        --mixup) kind='word' ;;
        --cutmix) kind='word' ;;
        --label-smoothing) kind='word' ;;
        --teacher) kind='file' ;;
        --distil) kind='word' ;;
        --distil-temperature) kind='word' ;;
        --class-weights) kind='word' words="off on " ;;
        --early-stop) kind='word' ;;
        --fit) kind='word' words="none val perturbed " ;;
        --seed | -s) kind='word' ;;
        --seeds) kind='word' ;;
        --out | -o) kind='folder' ;;
        --name | -n) kind='word' ;;
        --resume) kind='folder' ;;
        --checkpoint-seconds) kind='word' ;;
        --device) kind='word' words="auto cpu cuda reference " ;;
        --precision) kind='word' words="f32 bf16 int8 auto " ;;
        --threads | -j) kind='word' ;;
        --cache) kind='word' words="ram disk off " ;;
        --cache-features) kind='word' ;;
        esac
        ;;
    tune)
        options="--recipe --weights --out --resume --device --precision --threads --cache --deterministic --quiet --verbose --help"
        case $prev in
        --recipe) kind='word' words="finetune article " ;;
        --weights | -w) kind='file' words="imagenet cxr none " ;;
        --out | -o) kind='folder' ;;
        --resume) kind='folder' ;;
        --device) kind='word' words="auto cpu cuda reference " ;;
        --precision) kind='word' words="f32 bf16 int8 auto " ;;
        --threads | -j) kind='word' ;;
        --cache) kind='word' words="ram disk off " ;;
        esac
        ;;
    runs)
        options="--sort --format --quiet --verbose --help"
        case $prev in
        --sort | -s) kind='word' words="name date loss accuracy auroc " ;;
        --format | -f) kind='word' words="table csv json " ;;
        esac
        ;;
    evaluate)
        options="--model --split --split-file --out --robustness --shortcut --by --prevalence --skip-unreadable --max-pixels --batch-size --device --precision --tta --threads --deterministic --quiet --verbose --help"
        case $prev in
        --model | -m) kind='file' ;;
        --split) kind='word' words="test val train all " ;;
        --split-file) kind='file' ;;
        --out | -o) kind='folder' ;;
        --by) kind='word' ;;
        --prevalence) kind='word' ;;
        --max-pixels) kind='word' ;;
        --batch-size | -b) kind='word' ;;
        --device) kind='word' words="auto cpu cuda reference " ;;
        --precision) kind='word' words="f32 bf16 int8 auto " ;;
        --tta) kind='word' words="none flip scales crops " ;;
        --threads | -j) kind='word' ;;
        esac
        ;;
    compare)
        options="--require --out --format --threads --quiet --help"
        case $prev in
        --require | -r) kind='word' ;;
        --out | -o) kind='folder' ;;
        --format | -f) kind='word' words="table json " ;;
        --threads | -j) kind='word' ;;
        esac
        ;;
    predict)
        options="--model --format --max-pixels --batch-size --device --precision --tta --threads --deterministic --quiet --verbose --help"
        case $prev in
        --model | -m) kind='file' ;;
        --format | -f) kind='word' words="table csv json jsonl " ;;
        --max-pixels) kind='word' ;;
        --batch-size | -b) kind='word' ;;
        --device) kind='word' words="auto cpu cuda reference " ;;
        --precision) kind='word' words="f32 bf16 int8 auto " ;;
        --tta) kind='word' words="none flip scales crops " ;;
        --threads | -j) kind='word' ;;
        esac
        ;;
    explain)
        options="--model --out --method --layer --class --check --curves --format --max-pixels --batch-size --device --precision --threads --deterministic --quiet --verbose --help"
        case $prev in
        --model | -m) kind='file' ;;
        --out | -o) kind='folder' ;;
        --method) kind='word' words="grad-cam grad-cam++ occlusion " ;;
        --layer) kind='word' words="layer1 layer2 layer3 layer4 " ;;
        --class) kind='word' ;;
        --format | -f) kind='word' words="table csv json jsonl " ;;
        --max-pixels) kind='word' ;;
        --batch-size | -b) kind='word' ;;
        --device) kind='word' words="auto cpu cuda reference " ;;
        --precision) kind='word' words="f32 bf16 int8 auto " ;;
        --threads | -j) kind='word' ;;
        esac
        ;;
    serve)
        options="--model --listen --port --token-file --host --cert --key --batch --max-wait --queue --connections --connections-per-address --no-sandbox --max-pixels --device --precision --threads --quiet --verbose --help"
        case $prev in
        --model | -m) kind='file' ;;
        --listen) kind='word' ;;
        --port | -p) kind='word' ;;
        --token-file) kind='file' ;;
        --host) kind='word' ;;
        --cert) kind='file' ;;
        --key) kind='file' ;;
        --batch | -b) kind='word' ;;
        --max-wait) kind='word' ;;
        --queue) kind='word' ;;
        --connections) kind='word' ;;
        --connections-per-address) kind='word' ;;
        --max-pixels) kind='word' ;;
        --device) kind='word' words="auto cpu cuda reference " ;;
        --precision) kind='word' words="f32 bf16 int8 auto " ;;
        --threads | -j) kind='word' ;;
        esac
        ;;
    calibrate)
        options="--model --out --fit --keep --split-file --skip-unreadable --max-pixels --batch-size --device --precision --threads --deterministic --quiet --verbose --help"
        case $prev in
        --model | -m) kind='file' ;;
        --out | -o) kind='file' ;;
        --fit) kind='word' words="val perturbed " ;;
        --split-file) kind='file' ;;
        --max-pixels) kind='word' ;;
        --batch-size | -b) kind='word' ;;
        --device) kind='word' words="auto cpu cuda reference " ;;
        --precision) kind='word' words="f32 bf16 int8 auto " ;;
        --threads | -j) kind='word' ;;
        esac
        ;;
    quantize)
        options="--model --out --images --seed --max-loss --split-file --skip-unreadable --max-pixels --batch-size --device --threads --deterministic --quiet --verbose --help"
        case $prev in
        --model | -m) kind='file' ;;
        --out | -o) kind='file' ;;
        --images) kind='word' ;;
        --seed | -s) kind='word' ;;
        --max-loss) kind='word' ;;
        --split-file) kind='file' ;;
        --max-pixels) kind='word' ;;
        --batch-size | -b) kind='word' ;;
        --device) kind='word' words="auto cpu cuda reference " ;;
        --threads | -j) kind='word' ;;
        esac
        ;;
    export)
        options="--model --out --half --help"
        case $prev in
        --model | -m) kind='file' ;;
        --out | -o) kind='file' ;;
        esac
        ;;
    summary)
        options="--arch --head --classes --size --freeze --help"
        case $prev in
        --arch) kind='word' words="resnet18 resnet34 " ;;
        --head) kind='word' words="none " ;;
        --classes) kind='word' ;;
        --size) kind='word' ;;
        --freeze) kind='word' words="backbone layer4 layer3 layer2 layer1 none " ;;
        esac
        ;;
    fetch-weights)
        options="--arch --dir --quiet --verbose --help"
        case $prev in
        --arch) kind='word' words="resnet18 resnet34 " ;;
        --dir | -d) kind='folder' ;;
        esac
        ;;
    phantom)
        options="--out --train --val --test --size --seed --help"
        case $prev in
        --out | -o) kind='folder' ;;
        --train) kind='word' ;;
        --val) kind='word' ;;
        --test) kind='word' ;;
        --size) kind='word' ;;
        --seed | -s) kind='word' ;;
        esac
        ;;
    bench)
        options="--model --stage --precision --batch-size --size --threads --freeze --rounds --seconds --no-limit --quick --format --deterministic --quiet --verbose --help"
        case $prev in
        --model | -m) kind='file' ;;
        --stage) kind='word' ;;
        --precision) kind='word' ;;
        --batch-size | -b) kind='word' ;;
        --size) kind='word' ;;
        --threads | -j) kind='word' ;;
        --freeze) kind='word' words="backbone layer4 layer3 layer2 layer1 none " ;;
        --rounds) kind='word' ;;
        --seconds) kind='word' ;;
        --format | -f) kind='word' words="table csv json " ;;
        esac
        ;;
    esac
    if [[ $kind == operand && $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
        return
    fi
    [[ -n $words ]] && mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    case $kind in
    folder)
        compopt -o filenames 2>/dev/null
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$cur")
        ;;
    file | operand)
        compopt -o filenames 2>/dev/null
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur")
        ;;
    esac
}
complete -F _cxr cxr
